#!lua
-- Everything that many workers have to agree on. Each operation runs alone: nothing else happens in the store meanwhile.
-- ARGV: prefix of all keys, then for each operation its name, its arguments as msgpack, and further bytes.
-- Answers, one for each operation: msgpack, then bulk strings that need not be UTF-8; or why the operation failed.
--
-- PREFIX:sessions          hash, name of a session to its generation; a session that starts again gets a new one
-- PREFIX:used              sorted set, names by their last use; those without a valid credential come first
-- PREFIX:s:NAME:GEN:…      state of a session; `parts` names those of its keys that not every session has
-- PREFIX:n:NAME:…          what outlives a generation: snapshots and how the session began
-- PREFIX:stats, :journals  counters over all sessions, and the bytes of each journal
-- PREFIX:open              answers that are being sent, by the end of their lease; ids of streams begin with STREAM
local P = ARGV[1]
local operation, a, further   -- of the operation that runs
local call, format, floor = redis.call, string.format, math.floor
local clock = call('TIME')
local REAL = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local NEVER = -math.huge
local RESOLUTION = 0.02       -- seconds within which what comes shares an entry of a window
local LEASE = 10              -- seconds after which what a dead worker held is free again
local STREAM = 'stream-'      -- what ids of streams begin with
local UNCONFIRMED = 1e12      -- what precedes all times of use
local MANY = 8192             -- most prefixes of prompts of a session
local DELETED = 256           -- most names of deleted values of a session, and one more for each value
local FIXED = {'meta', 'vals', 'vers', 'occ', 'occq', 'hdr', 'hdrq', 'counts', 'seen', 'seenq', 'nonces'}
local KEPT_CALLS = 2048
local FINISHED, STARTED, ENDED, CHANGED = 0, 1, 2, 3 -- kinds of events

local function number(text) return text and text ~= '' and tonumber(text) or nil end
local function precise(value) return format('%.17g', value) end
local function place(name, gen) return P .. ':s:' .. name .. ':' .. gen .. ':' end
local function generation(name)
  local gen = call('HGET', P .. ':sessions', name)
  return gen and call('EXISTS', place(name, gen) .. 'meta') == 1 and gen
end
local function read_hash(key, convert)
  local found, held = {}, call('HGETALL', key)
  for i = 1, #held, 2 do found[#found + 1] = {held[i], convert(held[i + 1])} end
  return found
end
local function part(S, suffix) call('SADD', S .. 'parts', suffix) return S .. suffix end

local function now(S)
  local m = call('HMGET', S .. 'meta', 'fixed', 'offset')
  return number(m[1]) or REAL + tonumber(m[2])
end

local function use(name, confirmed)
  if confirmed then
    call('ZADD', P .. ':used', REAL, name)
  elseif (number(call('ZSCORE', P .. ':used', name)) or 0) < 0 then
    call('ZADD', P .. ':used', REAL - UNCONFIRMED, name)
  else
    call('ZADD', P .. ':used', 'XX', REAL, name)
  end
end

-- where the state of a session is that a worker knows, nil if it has ended
local function find_place(name, gen) return generation(name) == tostring(gen) and place(name, gen) or nil end

-- what has changed since a version, or all of it
local function changes(S, known)
  local m = call('HMGET', S .. 'meta', 'version', 'base', 'fixed', 'offset', 'state', 'epoch', 'calls', 'number')
  local full = known < tonumber(m[2]) or known > tonumber(m[1])
  local found = {version = tonumber(m[1]), full = full, fixed = number(m[3]), offset = tonumber(m[4]), state = m[5],
    epoch = tonumber(m[6]), calls = tonumber(m[7]), number = tonumber(m[8]), values = {}}
  for i, name in ipairs(call('ZRANGEBYSCORE', S .. 'vers', full and '-inf' or '(' .. format('%d', known), '+inf')) do
    found.values[i] = {name, call('HGET', S .. 'vals', name) or ''}
  end
  return found
end

-- sliding windows: hash `w:PLACE` holds their sums, list `e:PLACE` their entries
local function read_entry(text)
  local at, often, much = text:match('^(%S+) (%S+) (%S+)$')
  return tonumber(at), tonumber(often), tonumber(much)
end

local function open_window(S, name)
  local m = call('HMGET', S .. 'w:' .. name, 'o', 'm', 'oa', 'ma', 'first', 'last', 'order')
  return {name = name, order = m[7], entries = S .. 'e:' .. name, o = number(m[1]) or 0, m = number(m[2]) or 0,
    oa = number(m[3]) or NEVER, ma = number(m[4]) or NEVER, first = number(m[5]) or math.huge,
    last = number(m[6]) or NEVER}
end

local function note_entries(w)
  local first, last = call('LINDEX', w.entries, 0), call('LINDEX', w.entries, -1)
  w.first, w.last = first and read_entry(first) or math.huge, last and read_entry(last) or NEVER
  w.oa, w.ma = NEVER, NEVER
  if not first then w.o, w.m = 0, 0 end
  local at = -1
  while last and (w.oa == NEVER and w.o > 0 or w.ma == NEVER and w.m > 0) do
    local when, often, much = read_entry(last)
    if often > 0 and w.oa == NEVER then w.oa = when end
    if much > 0 and w.ma == NEVER then w.ma = when end
    at = at - 1
    last = call('LINDEX', w.entries, at)
  end
end

local function drop_entry(w, command)
  local _, often, much = read_entry(call(command, w.entries))
  w.o, w.m = w.o - often, w.m - much
end

local function prune(w, at, span)
  local first = call('LINDEX', w.entries, 0)
  while first and read_entry(first) <= at - span do
    drop_entry(w, 'LPOP')
    first = call('LINDEX', w.entries, 0)
  end
  local last = call('LINDEX', w.entries, -1)
  while last and read_entry(last) > at do -- the clock was set back
    drop_entry(w, 'RPOP')
    last = call('LINDEX', w.entries, -1)
  end
  note_entries(w)
end

local function add_entry(w, at, often, much)
  if often == 0 and much == 0 then return end
  local newest = at - w.last < RESOLUTION and call('LINDEX', w.entries, -1)
  if newest then
    local when, o, m = read_entry(newest)
    call('LSET', w.entries, -1, format('%.17g %.17g %.17g', when, o + often, m + much))
  else
    if w.last == NEVER then w.first = at end
    call('RPUSH', w.entries, format('%.17g %.17g %.17g', at, often, much))
    w.last = at
  end
  if often > 0 then w.o, w.oa = w.o + often, w.last end
  if much > 0 then w.m, w.ma = w.m + much, w.last end
end

-- add to a past instant: the clock has moved on since the call was admitted
local function add_late(w, at, much)
  local i, text = -1, call('LINDEX', w.entries, -1)
  while text and read_entry(text) > at do
    i = i - 1
    text = call('LINDEX', w.entries, i)
  end
  local when, o, m = NEVER
  if text then when, o, m = read_entry(text) end
  if at - when < RESOLUTION then
    call('LSET', w.entries, i, format('%.17g %.17g %.17g', when, o, m + much))
  else
    local entry = format('%.17g 0 %.17g', at, much)
    if text then call('LINSERT', w.entries, 'AFTER', text, entry) else call('LPUSH', w.entries, entry) end
    w.first = math.min(w.first, at)
  end
  w.m, w.ma = w.m + much, math.max(w.ma, at)
end

local function save_window(S, w)
  part(S, 'e:' .. w.name)
  call('HSET', part(S, 'w:' .. w.name), 'o', precise(w.o), 'm', precise(w.m), 'oa', precise(w.oa), 'ma',
    precise(w.ma), 'first', precise(w.first), 'last', precise(w.last), 'order',
    w.order or call('HINCRBY', S .. 'meta', 'orders', 1))
end

local function take(S, name, at, span, often, much, most)
  local w = open_window(S, name)
  if w.first <= at - span or w.last > at then prune(w, at, span) end
  local taken = w.o < most[1] and w.m < most[2]
  if taken then add_entry(w, at, often, much) end
  save_window(S, w)
  return w, taken
end

local function describe_window(w, taken)
  local entries = {}
  if not taken then
    for i, text in ipairs(call('LRANGE', w.entries, 0, -1)) do entries[i] = {read_entry(text)} end
  end
  return {w.o, w.m, w.oa, w.ma, taken, entries}
end

-- drop what was entered first in a hash, whose names a list has in their order
local function drop_oldest(S, hash, order, count)
  call('HDEL', S .. hash, unpack(call('LPOP', S .. order, count)))
end

-- count what is new in a hash, of which the oldest eighth goes for one too many
local function count_bounded(S, counts, order, name, most)
  local seen = call('HINCRBY', S .. counts, name, 1)
  if seen == 1 then
    if call('LLEN', S .. order) >= most then drop_oldest(S, counts, order, 1 + floor(most / 8)) end
    call('RPUSH', S .. order, name)
  end
  return seen
end

local function has_turn(rule, seen)
  if seen % rule.every ~= 0 then return false end
  local turn = seen / rule.every
  if #rule.nth > 0 then
    local hit = false
    turn = 0
    for _, n in ipairs(rule.nth) do
      hit = hit or n == seen
      if n <= seen and n % rule.every == 0 then turn = turn + 1 end
    end
    if not hit then return false end
  end
  return rule.total < 0 or rule.cycle or turn <= rule.total
end

-- whether a nonce is new; they are judged by real time
local function use_nonce(S, nonce, span)
  call('ZREMRANGEBYSCORE', S .. 'nonces', '-inf', REAL - span)
  return call('ZADD', S .. 'nonces', 'NX', REAL, nonce) == 1
end

-- the name of the limit that refuses a call, after counting it if none does
local function take_limits(S, l, at, out)
  local counts = call('HMGET', S .. 'counts', 'usage/spent/' .. l.org, 'usage/key spent/' .. l.key)
  if (number(counts[1]) or 0) >= l.credit then return 'balance' end
  if l.balance >= 0 and (number(counts[2]) or 0) >= l.balance then return 'key_balance' end
  local leases = part(S, 'l:' .. l.key)
  call('ZREMRANGEBYSCORE', leases, '-inf', REAL)
  local room = call('ZCARD', leases) < l.most
  local w, taken = take(S, 'limits/' .. l.key, at, l.span, room and 1 or 0, 0, {l.rpm, l.tpm})
  out.window = describe_window(w, taken)
  if not taken then return 'rate' end
  if not room then return 'concurrency' end
  call('ZADD', leases, REAL + LEASE, l.lease)
  return nil
end

local function read_ledger(S, known)
  local folds = number(call('HGET', S .. 'counts', 'folds/' .. known.org)) or 0
  local from = folds == known.folds and known.held or 0
  local spent = number(call('HGET', S .. 'counts', 'usage/spent/' .. known.org)) or 0
  local minutes = folds ~= known.folds and read_hash(S .. 'minutes:' .. known.org, tostring) or {}
  return {folds = folds, from = from, spent = spent, rows = call('LRANGE', S .. 'ledger:' .. known.org, from, -1),
    minutes = minutes}
end

-- sum the oldest calls of an organisation by minute, key and model
local function fold_ledger(S, org)
  local list, sums = S .. 'ledger:' .. org, part(S, 'minutes:' .. org)
  local count = call('LLEN', list) - KEPT_CALLS
  for _, text in ipairs(call('LRANGE', list, 0, count - 1)) do
    local row = cjson.decode(text)
    local group = cjson.encode({floor(row[1] / 60), row[2], row[3], row[4]})
    local held = call('HGET', sums, group)
    local sum = held and cjson.decode(held) or {call('HLEN', sums), 0, 0, 0, 0, 0, 0, 0}
    sum[2] = sum[2] + 1
    for i = 5, 10 do sum[i - 2] = sum[i - 2] + row[i] end
    call('HSET', sums, group, cjson.encode(sum))
  end
  call('LTRIM', list, count, -1)
  call('HINCRBY', S .. 'counts', 'folds/' .. org, 1)
end

-- tell who listens, at any worker
local function publish(name, position, kind, ms, text)
  if call('EXISTS', P .. ':listening') == 1 then
    call('PUBLISH', P .. ':events', name .. ' ' .. position .. ' ' .. kind .. ' ' .. precise(ms) .. '\n' .. text)
  end
end

-- note that the answer to a call is out
local function end_call(S, name, position, ms)
  local id = '0-' .. position
  if #call('XRANGE', S .. 'journal', id, id) > 0 then call('HSET', S .. 'ends', position, precise(ms)) end
  publish(name, position, ENDED, ms, '')
end

-- end a call whose worker says no more that it is being answered; return how long it was, nil while it goes on
local function end_lost(S, name, position, id, began)
  local lease = tonumber(call('ZSCORE', P .. ':open', id) or 0)
  if lease > REAL then return nil end
  local ms = math.max(0, lease - LEASE - tonumber(began)) * 1000
  end_call(S, name, position, ms)
  call('ZREM', P .. ':open', id)
  return ms
end

-- numbers and milliseconds of the answers that were not sent at once, and are out
local function list_ends(S, name)
  local ends = {}
  for _, pair in ipairs(read_hash(S .. 'ends', tostring)) do
    local id, began = pair[2]:match('^(%S+) (%S+)$')
    local ms = id and end_lost(S, name, pair[1], id, began) or tonumber(pair[2])
    if ms then ends[#ends + 1] = {tonumber(pair[1]), ms} end
  end
  return ends
end

local function read_journal(S, name, known, raw)
  local first = call('XRANGE', S .. 'journal', '-', '+', 'COUNT', 1)[1]
  local exists = call('EXISTS', S .. 'journal') == 1
  local last = exists and tonumber(call('XINFO', 'STREAM', S .. 'journal')[8]:match('%-(%d+)$')) or 0
  local numbers = {}
  for i, entry in ipairs(call('XRANGE', S .. 'journal', '(0-' .. known, '+')) do
    numbers[i] = tonumber(entry[1]:match('%-(%d+)$'))
    raw[#raw + 1] = entry[2][2]
  end
  return {first = first and tonumber(first[1]:match('%-(%d+)$')) or last + 1, total = last, numbers = numbers,
    ends = list_ends(S, name)}
end

local function read_windows(S)
  local windows, leases, order = {}, {}, {}
  for _, suffix in ipairs(call('SMEMBERS', S .. 'parts')) do
    if suffix:sub(1, 2) == 'w:' then
      local entries = {}
      for i, text in ipairs(call('LRANGE', S .. 'e:' .. suffix:sub(3), 0, -1)) do entries[i] = {read_entry(text)} end
      windows[#windows + 1] = {suffix:sub(3), entries}
      order[suffix:sub(3)] = tonumber(call('HGET', S .. suffix, 'order'))
    elseif suffix:sub(1, 2) == 'l:' then
      local held = call('ZCOUNT', S .. suffix, '(' .. precise(REAL), '+inf')
      if held > 0 then leases[#leases + 1] = {suffix:sub(3), held} end
    end
  end
  table.sort(windows, function(a, b) return order[a[1]] < order[b[1]] end)
  return windows, leases
end

-- what handlers read beside the values of a session
local function read_more(S, name, wanted, out, raw)
  if wanted.ledger then out.ledger = read_ledger(S, wanted.ledger) end
  if wanted.journal then
    out.journal = read_journal(S, name, wanted.journal, raw)
    out.counts = read_hash(S .. 'counts', tonumber)
    out.windows, out.leases = read_windows(S)
    out.calls = tonumber(call('HGET', S .. 'meta', 'calls'))
    out.labels = call('HKEYS', P .. ':n:' .. name .. ':labels')
  end
end

-- count bytes of a journal; return how many it holds, and how many all hold together
local function count_bytes(S, size)
  local by = format('%d', size) -- a number would be written as -0
  return tonumber(call('ZINCRBY', P .. ':journals', by, S)), call('HINCRBY', P .. ':stats', 'journal bytes', by)
end

local function clear_journal(S)
  if call('EXISTS', S .. 'journal') == 1 then call('XTRIM', S .. 'journal', 'MAXLEN', 0) end
  call('DEL', S .. 'ends')
  local bytes, total = count_bytes(S, -tonumber(call('ZSCORE', P .. ':journals', S) or 0))
  call('ZREM', P .. ':journals', S)
  return bytes, total
end

local function drop_from_journal(S)
  local oldest = call('XRANGE', S .. 'journal', '-', '+', 'COUNT', 1)[1]
  if not oldest then return clear_journal(S) end
  call('XDEL', S .. 'journal', oldest[1])
  call('HDEL', S .. 'ends', oldest[1]:match('%-(%d+)$'))
  return count_bytes(S, -tonumber(oldest[2][4]))
end

-- as in memory: the largest journals drop their older half, until an eighth more is free than needed
local function shrink_journals(total, most)
  while total > most - floor(most / 8) do
    local S, bytes = unpack(call('ZREVRANGE', P .. ':journals', 0, 0, 'WITHSCORES'))
    local half = floor(tonumber(bytes or 0) / 2)
    if half == 0 then return end
    repeat bytes, total = drop_from_journal(S) until bytes <= half
  end
end

local function add_to_journal(S, j, entry, open)
  local position = call('XADD', S .. 'journal', '0-*', 'e', entry, 'size', j.size):match('%-(%d+)$')
  if open ~= '' then
    call('ZADD', P .. ':open', REAL + LEASE, open)
    call('HSET', S .. 'ends', position, open .. ' ' .. precise(REAL))
  end
  local bytes, total = count_bytes(S, j.size)
  local held = call('XLEN', S .. 'journal')
  while held > j.entries or held > 1 and bytes > j.bytes do
    bytes, total = drop_from_journal(S)
    held = held - 1
  end
  if total > j.total then shrink_journals(total, j.total) end
  return tonumber(position)
end

local function write_values(S, written, version)
  for _, pair in ipairs(written) do
    local name, value = pair[1], pair[2]
    if value == '' then
      call('HDEL', S .. 'vals', name)
    else
      local old = call('HGET', S .. 'vals', name)
      local order = old and old:match('^(%d+) ') or call('HINCRBY', S .. 'meta', 'orders', 1)
      call('HSET', S .. 'vals', name, order .. ' ' .. value)
    end
    call('ZADD', S .. 'vers', version, name)
  end
end

-- forget which values were deleted; who knows an older version reads everything again
local function trim_versions(S, version)
  if call('ZCARD', S .. 'vers') <= 2 * call('HLEN', S .. 'vals') + DELETED then return end
  for _, name in ipairs(call('ZRANGE', S .. 'vers', 0, -1)) do
    if call('HEXISTS', S .. 'vals', name) == 0 then call('ZREM', S .. 'vers', name) end
  end
  call('HSET', S .. 'meta', 'base', format('%d', version))
end

local function write_changes(S, w)
  local version = call('HINCRBY', S .. 'meta', 'version', 1)
  write_values(S, w.values, version)
  trim_versions(S, version)
  if w.state ~= '' then call('HSET', S .. 'meta', 'state', w.state) end
  if w.clock then
    local fixed = w.clock[1]
    call('HSET', S .. 'meta', 'fixed', fixed and precise(fixed) or '', 'offset', precise(w.clock[2]))
  end
  for _, name in ipairs(w.uncounted) do call('HDEL', S .. 'counts', name) end
  if w.clear then clear_journal(S) end
end

-- texts that calls add and read by name: they have no version, so that no call is in another's way
local function drop_text(S, name)
  local size = call('HSTRLEN', S .. 'texts', name)
  if size == 0 then return end
  call('HDEL', S .. 'texts', name)
  call('LREM', S .. 'textq', 1, name)
  call('HINCRBY', S .. 'meta', 'texts', format('%d', -size))
end

local function keep_text(S, name, text, most)
  drop_text(S, name)
  call('HINCRBY', S .. 'meta', 'texts', #text)
  if tonumber(call('HGET', S .. 'meta', 'texts')) > most then
    local oldest = call('LINDEX', S .. 'textq', 0)
    while oldest and tonumber(call('HGET', S .. 'meta', 'texts')) > most - floor(most / 8) do
      drop_text(S, oldest)
      oldest = call('LINDEX', S .. 'textq', 0)
    end
  end
  call('HSET', part(S, 'texts'), name, text)
  call('RPUSH', part(S, 'textq'), name)
end

local function book_call(S, b)
  if b.ticks > 0 then
    call('HINCRBY', S .. 'counts', 'usage/spent/' .. b.org, b.ticks)
    if b.key ~= '' then call('HINCRBY', S .. 'counts', 'usage/key spent/' .. b.key, b.ticks) end
  end
  if call('RPUSH', part(S, 'ledger:' .. b.org), b.row) >= 2 * KEPT_CALLS then fold_ledger(S, b.org) end
end

-- copies and ends of sessions
local function is_lease(suffix) return suffix:sub(1, 2) == 'l:' end

local function copy(from, to)
  for _, suffix in ipairs(FIXED) do call('COPY', from .. suffix, to .. suffix, 'REPLACE') end
  call('DEL', to .. 'parts')
  for _, suffix in ipairs(call('SMEMBERS', from .. 'parts')) do
    if not is_lease(suffix) then call('COPY', from .. suffix, part(to, suffix), 'REPLACE') end
  end
end

local function list_keys(S)
  local keys = {S .. 'parts', S .. 'journal', S .. 'ends'}
  for _, suffix in ipairs(FIXED) do keys[#keys + 1] = S .. suffix end
  for _, suffix in ipairs(call('SMEMBERS', S .. 'parts')) do keys[#keys + 1] = S .. suffix end
  return keys
end

local function drop(S)
  for _, key in ipairs(list_keys(S)) do call('UNLINK', key) end
end

local function drop_snapshots(N)
  for _, label in ipairs(call('HKEYS', N .. 'labels')) do drop(N .. 'snap:' .. label .. ':') end
  drop(N .. 'origin:')
  call('UNLINK', N .. 'labels', N .. 'begin')
end

local function end_generation(name)
  local gen = call('HGET', P .. ':sessions', name) -- even if its state is gone
  if not gen then return end
  clear_journal(place(name, gen))
  drop(place(name, gen))
  call('HDEL', P .. ':sessions', name)
end

local function end_session(name)
  end_generation(name)
  drop_snapshots(P .. ':n:' .. name .. ':')
  call('ZREM', P .. ':used', name)
end

local function begin_generation(name)
  -- a store that has lost its data must not give a number again that a worker knows
  local gen = math.max(tonumber(call('GET', P .. ':generations') or 0) + 1, floor(REAL * 1000))
  call('SET', P .. ':generations', format('%d', gen))
  call('HSET', P .. ':sessions', name, format('%d', gen))
  return gen
end

-- no two generations have versions in common
local function first_version(gen) return format('%d', gen * 4096) end

local function begin_session(name, b, position)
  call('SET', P .. ':began', precise(REAL), 'NX')
  local gen = begin_generation(name)
  local S, start = place(name, gen), b.start
  local epoch = start or tonumber(call('GET', P .. ':began'))
  local fixed = b.frozen and (start or REAL) or nil
  call('HSET', S .. 'meta', 'version', first_version(gen), 'base', first_version(gen), 'state', b.state,
    'fixed', fixed and precise(fixed) or '', 'offset', precise(start and start - REAL or 0),
    'epoch', precise(epoch - epoch % 3600), 'calls', 0, 'number', position or gen, 'orders', 0)
  return gen
end

-- go on from a copy and its time
local function run_on(from, S, position, version)
  copy(from, S)
  call('HSET', S .. 'meta', 'number', position, 'version', version, 'base', version)
  local m = call('HMGET', S .. 'meta', 'fixed', 'at')
  if m[1] == '' then call('HSET', S .. 'meta', 'offset', precise(tonumber(m[2]) - REAL)) end
end

local function save_copy(S, to)
  local at = now(S)
  drop(to) -- an earlier snapshot of that label may have parts that this one has not
  copy(S, to)
  call('HSET', to .. 'meta', 'at', precise(at))
  return at
end

local function remove_surplus(newest, most)
  local names = call('ZRANGE', P .. ':used', 0, 2)
  if call('HLEN', P .. ':sessions') <= most then return end
  for _, name in ipairs(names) do
    if name ~= 'default' and name ~= newest then return end_session(name) end
  end
end

local function describe(name, gen, known)
  local S = place(name, gen)
  local found = changes(S, known)
  found.status, found.name, found.gen, found.at, found.real = 'ok', name, tonumber(gen), now(S), REAL
  found.labels = call('HKEYS', P .. ':n:' .. name .. ':labels')
  return found
end

local O = {}

function O.ping() return {status = 'ok'} end

function O.open()
  local gen = generation(a.name)
  if not gen and not a.begin then return {status = 'none'} end
  if not gen and not a.confirmed and call('HLEN', P .. ':sessions') >= a.most then
    local first = call('ZRANGE', P .. ':used', 0, 0, 'WITHSCORES')
    if not first[2] or tonumber(first[2]) >= 0 then return {status = 'full'} end
  end
  if not gen then
    end_session(a.name)
    gen = begin_session(a.name, a.begin)
    call('SET', P .. ':n:' .. a.name .. ':begin', cmsgpack.pack(a.begin))
    call('ZADD', P .. ':used', a.confirmed and REAL or REAL - UNCONFIRMED, a.name)
    remove_surplus(a.name, a.most)
  elseif a.new then
    return {status = 'exists'}
  end
  return describe(a.name, gen, a.known)
end

function O.reset()
  local old = generation(a.name)
  if not old then return {status = 'none'} end
  local position = call('HGET', place(a.name, old) .. 'meta', 'number')
  local N = P .. ':n:' .. a.name .. ':'
  end_generation(a.name)
  local gen
  if call('EXISTS', N .. 'origin:meta') == 1 then
    gen = begin_generation(a.name)
    run_on(N .. 'origin:', place(a.name, gen), position, first_version(gen))
  else
    local begin = call('GET', N .. 'begin')
    gen = begin_session(a.name, begin and cmsgpack.unpack(begin) or a.begin, position)
  end
  return describe(a.name, gen, -1)
end

function O.delete()
  end_session(a.name)
  return {status = 'ok'}
end

function O.snapshot()
  local gen, N = generation(a.name), P .. ':n:' .. a.name .. ':'
  if not gen then return {status = 'none'} end
  local S = place(a.name, gen)
  local at = save_copy(S, N .. 'snap:' .. a.label .. ':')
  call('HSET', N .. 'labels', a.label, precise(at))
  return {status = 'ok', at = at, calls = tonumber(call('HGET', S .. 'meta', 'calls'))}
end

function O.restore()
  local gen, N = generation(a.name), P .. ':n:' .. a.name .. ':'
  if not gen or call('EXISTS', N .. 'snap:' .. a.label .. ':meta') == 0 then return {status = 'none'} end
  local S = place(a.name, gen)
  local m = call('HMGET', S .. 'meta', 'number', 'version')
  local leases = {}
  for _, suffix in ipairs(call('SMEMBERS', S .. 'parts')) do
    if is_lease(suffix) then leases[#leases + 1] = suffix else call('UNLINK', S .. suffix) end
  end
  for _, suffix in ipairs(FIXED) do call('UNLINK', S .. suffix) end
  run_on(N .. 'snap:' .. a.label .. ':', S, m[1], format('%d', m[2] + 1))
  for _, suffix in ipairs(leases) do part(S, suffix) end
  return describe(a.name, gen, -1)
end

function O.fork()
  local gen = generation(a.name)
  if not gen then return {status = 'none'} end
  if generation(a.new) then return {status = 'exists'} end
  local N = P .. ':n:' .. a.new .. ':'
  end_session(a.new)
  save_copy(place(a.name, gen), N .. 'origin:')
  local fresh = begin_generation(a.new)
  run_on(N .. 'origin:', place(a.new, fresh), fresh, first_version(fresh))
  call('ZADD', P .. ':used', REAL, a.new)
  remove_surplus(a.new, a.most)
  return describe(a.new, fresh, -1)
end

function O.list()
  local found, held = {}, call('HGETALL', P .. ':sessions')
  for i = 1, #held, 2 do
    if generation(held[i]) then found[#found + 1] = describe(held[i], held[i + 1], -1) end
  end
  return {status = 'ok', sessions = found}
end

function O.sweep()
  for _, name in ipairs(call('ZRANGEBYSCORE', P .. ':used', '-inf', REAL - a.idle)) do
    local score = tonumber(call('ZSCORE', P .. ':used', name))
    if name ~= 'default' and (score >= 0 or score + UNCONFIRMED < REAL - a.idle) then end_session(name) end
  end
  call('ZREMRANGEBYSCORE', P .. ':open', '-inf', REAL - a.idle)
  -- keys of sessions in use live on; those that no worker sweeps any more end by themselves
  for _, name in ipairs(call('ZRANGE', P .. ':used', 0, -1)) do
    local gen, N = generation(name), P .. ':n:' .. name .. ':'
    local places = {N .. 'origin:'}
    if gen then places[2] = place(name, gen) end
    for _, label in ipairs(call('HKEYS', N .. 'labels')) do places[#places + 1] = N .. 'snap:' .. label .. ':' end
    for _, S in ipairs(places) do
      for _, key in ipairs(list_keys(S)) do call('EXPIRE', key, a.expiry) end
    end
    for _, key in ipairs({'labels', 'begin'}) do call('EXPIRE', N .. key, a.expiry) end
  end
  for _, key in ipairs({':sessions', ':used', ':stats', ':open', ':journals', ':generations', ':began'}) do
    call('EXPIRE', P .. key, a.expiry)
  end
  return {status = 'ok'}
end

-- operations on a session that a worker knows
local KNOWN = {}

local function is_present(S) return tonumber(call('HGET', S .. 'meta', 'version')) == a.version end
local function describe_stale(S)
  local found = changes(S, a.version)
  found.status, found.real = 'stale', REAL
  return found
end

function KNOWN.admit(S, raw)
  if not is_present(S) then return describe_stale(S) end
  local out = {status = 'ok', real = REAL, at = now(S), seen = {}}
  if a.key ~= '' then out.occurrence = count_bounded(S, 'occ', 'occq', a.key, a.remembered) end
  use(a.name, a.confirmed)
  if a.nonce and not use_nonce(S, a.nonce[1], a.nonce[2]) then
    out.refused = 'nonce'
  elseif a.limits then
    out.refused = take_limits(S, a.limits, out.at, out)
  end
  if out.refused then return out end
  if a.header then out.header = count_bounded(S, 'hdr', 'hdrq', a.header, a.headers) end
  for i, rule in ipairs(a.rules) do
    out.seen[i] = call('HINCRBY', S .. 'counts', 'rules/' .. rule.id, 1)
    if has_turn(rule, out.seen[i]) then break end
  end
  if a.wanted then read_more(S, a.name, a.wanted, out, raw) end
  return out
end

function KNOWN.commit(S)
  if a.written then
    if not is_present(S) then return describe_stale(S) end
    write_changes(S, a.written)
  end
  for _, name in ipairs(a.dropped or {}) do drop_text(S, name) end
  for _, kept in ipairs(a.kept or {}) do keep_text(S, unpack(kept)) end
  if a.tokens then
    local w = open_window(S, 'limits/' .. a.tokens[1])
    if w.last > a.tokens[2] and w.last > now(S) then prune(w, now(S), a.tokens[4]) end
    if w.last > a.tokens[2] then
      add_late(w, a.tokens[2], a.tokens[3])
    else
      add_entry(w, a.tokens[2], 0, a.tokens[3])
    end
    save_window(S, w)
  end
  if a.booked then book_call(S, a.booked) end
  if a.released then call('ZREM', S .. 'l:' .. a.released[1], a.released[2]) end
  local out = {status = 'ok'}
  if a.journal then
    call('HINCRBY', S .. 'meta', 'calls', 1)
    out.number = add_to_journal(S, a.journal, further, a.open)
    for _, name in ipairs(a.stats) do call('HINCRBY', P .. ':stats', name, 1) end
    publish(a.name, out.number, a.open ~= '' and STARTED or FINISHED, 0, further)
  end
  return out
end

function O.release()
  for _, r in ipairs(a.calls) do
    local S = find_place(r.name, r.gen)
    if S then
      if r.key ~= '' then call('ZREM', S .. 'l:' .. r.key, r.lease) end
      if r.number > 0 then end_call(S, r.name, r.number, r.ms) end
    end
    call('ZREM', P .. ':open', r.open)
  end
  return {status = 'ok'}
end

function O.renew()
  for _, held in ipairs(a.leases) do
    local S = find_place(held[1], held[2])
    if S then call('ZADD', part(S, 'l:' .. held[3]), REAL + LEASE, held[4]) end
  end
  for _, id in ipairs(a.open) do call('ZADD', P .. ':open', REAL + LEASE, id) end
  if a.listening then call('SET', P .. ':listening', 1, 'EX', LEASE) end
  return {status = 'ok'}
end

function O.announce()
  for _, event in ipairs(a.events) do publish(event.session, 0, CHANGED, 0, cjson.encode(event)) end
  return {status = 'ok'}
end

-- which prefixes of a prompt were seen lately; all are from now on
function KNOWN.touch(S)
  local found, seen = {}, S .. 'seen'
  for i, name in ipairs(a.prefixes) do
    local at = number(call('HGET', seen, name))
    found[i] = at ~= nil and at > a.at - a.span and at <= a.at
  end
  for i, name in ipairs(a.prefixes) do
    if not found[i] and call('HSET', seen, name, precise(a.at)) == 1 then call('RPUSH', S .. 'seenq', name) end
  end
  if call('HLEN', seen) > MANY then drop_oldest(S, 'seen', 'seenq', MANY / 2) end
  return {status = 'ok', found = found}
end

-- a text and those that it continues, the newest first: the first line of each is the name of the one before it
function KNOWN.texts(S, raw)
  local texts = S .. 'texts'
  local text = call('HGET', texts, a.text)
  while text and #raw < a.most do
    raw[#raw + 1] = text
    text = call('HGET', texts, text:match('^[^\n]*'))
  end
  return {status = 'ok'}
end

function KNOWN.increment(S)
  return {status = 'ok', count = call('HINCRBY', S .. 'counts', a.counter, 1)}
end

function O.stats()
  local entries, streams = 0, 0
  local sessions = call('HGETALL', P .. ':sessions')
  for i = 1, #sessions, 2 do entries = entries + call('XLEN', place(sessions[i], sessions[i + 1]) .. 'journal') end
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. ':open', REAL, '+inf')) do
    if id:sub(1, #STREAM) == STREAM then streams = streams + 1 end
  end
  local began = number(call('GET', P .. ':began')) or REAL
  return {status = 'ok', counts = read_hash(P .. ':stats', tonumber), sessions = #sessions / 2, entries = entries,
    streams = streams, uptime = REAL - began}
end

local function run()
  local raw, answer = {}, {status = 'gone'}
  if O[operation] then
    answer = O[operation]()
  else
    local S = find_place(a.name, a.gen)
    if S then answer = KNOWN[operation](S, raw) end
  end
  table.insert(raw, 1, cmsgpack.pack(answer))
  return raw
end

local answers = {}
for i = 2, #ARGV, 3 do
  operation, a, further = ARGV[i], cmsgpack.unpack(ARGV[i + 1]), ARGV[i + 2]
  local done, answer = pcall(run)
  answers[#answers + 1] = done and answer or redis.error_reply(type(answer) == 'table' and answer.err or tostring(answer))
end
return answers
