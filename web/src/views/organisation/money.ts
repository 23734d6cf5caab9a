/** Returns an amount in RMB, which is decimal text and stays it. */
export function money(amount: string): string {
  return amount.startsWith("-") ? `−¥${amount.slice(1)}` : `¥${amount}`
}
