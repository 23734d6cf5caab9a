"""Tokens, estimated: where text is cut, and how many there are.

No vocabulary is shipped: one regular expression cuts the way today's byte-pair tokenizers tend to. On the bilingual
sample in `tests/data/tokens.yaml` it stays within 15 % of o200k_base, and of the mean of o200k_base and cl100k_base,
for English and for Chinese alike. It is the only counter, so figures agree everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

import orjson

from aione_mock.types import TokenText

MESSAGE_OVERHEAD = 4
"""Tokens that each message of a conversation costs beyond its text (role and separators)."""

REPLY_PRIMING = 3
"""Tokens that a prompt costs once, beyond its messages, to open the answer."""

# Newer vocabularies hold common Chinese words as one token. Whatever begins like one of these and goes on like one
# of these counts as such a word; all other Chinese costs a token a character.
_WORDS = """
一个 一些 一样 一下 一点 一定 一起 一直 这个 这样 这里 这些 那个 那些 那里 什么 怎么 为了 我们 你们 他们 它们 自己
大家 可以 可能 没有 不是 不会 不要 不能 不同 不过 就是 还是 还有 但是 因为 所以 如果 虽然 而且 并且 或者 以及 然后
只是 只有 只要 时候 时间 问题 需要 使用 进行 已经 现在 知道 觉得 看到 出来 起来 下来 过来 过去 工作 公司 用户 客户
数据 系统 服务 信息 请求 返回 结果 方法 方式 方面 更新 操作 设置 支持 提供 管理 通过 其他 其中 相关 开始 之后 之前
以后 以前 最后 最近 非常 比较 特别 直接 中国 发展 技术 网络 文件 内容 今天 明天 去年 上午 下午 晚上 第一 第二 朋友
孩子 老师 学生 生活 社会 世界 国家 经济 市场 产品 企业 项目 计划 活动 会议 主要 重要 情况 同时 目前 关于 对于 应该
由于 当然 包括 选择 发现 认为 希望 喜欢 地方 东西 部分 所有 多少 很多 分钟 小时 建议 说明 帮助 介绍 学习 提高 增加
减少 模型 调用 错误 参数 类型 列表 名称 状态 组织 团队 费用 创建 限制 权限 认证 响应 代码 版本 测试 开发 环境 配置
功能 页面 图片 视频 电话 联系 安全 资料 记录 表示 分析 编辑 来源 成功 失败 访问 查询 删除
"""
_FIRSTS = "".join(sorted({word[0] for word in _WORDS.split()}))
_SECONDS = "".join(sorted({word[1] for word in _WORDS.split()}))
# What a picture may start with or be joined to; letters of flags come before it in the expression.
_PICTURE = (
    r"[\u00a9\u00ae\u203c\u2049\u2122-\u21aa\u231a-\u23ff\u24c2\u25aa-\u2bff\u3030\u303d\u3297\u3299"
    r"\U0001f000-\U0001faff]"
)
_CJK = r"[\u2e80-\u2fff\u3003-\u3007\u3021-\ua4cf\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"


def _marks(*parts: tuple[int, int]) -> str:
    """The combining marks in some parts of Unicode, as the inside of a character class."""
    runs: list[list[str]] = []
    for char in [chr(code) for first, last in parts for code in range(first, last)]:
        if unicodedata.category(char)[0] == "M":
            if runs and ord(char) == ord(runs[-1][1]) + 1:
                runs[-1][1] = char
            else:
                runs.append([char, char])
    return "".join([f"{first}-{last}" for first, last in runs])


# What belongs to the character before it (UAX 29): marks, joiners, skin tones, tags. Those above U+FFFF stand apart,
# behind a look-ahead, because a class that mixes both is an order of magnitude slower to test. To look through all of
# Unicode takes 15 ms of each start: among Chinese, Korean, private characters and the oldest scripts there are none.
_NEAR = _marks((0x300, 0x3100), (0xA600, 0xAC00), (0xFB00, 0xFFFF)) + r"\u200c\u200d"
_FAR = (
    _marks((0x10000, 0x12000), (0x13400, 0x13500), (0x16000, 0x17000), (0x1BC00, 0x1BD00), (0x1CF00, 0x1F000))
    + r"\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef"
)
_TAIL = rf"[{_NEAR}]{{0,32}}(?:(?=[\U00010000-\U0010ffff])[{_NEAR}{_FAR}]{{1,32}})?"
_PIECE = re.compile(
    rf"""(?:
      [ ][a-z]{{1,10}}                               # the next word, by far the commonest
    | [ ._]?[A-Z]?[a-z]{{1,10}}                      # a word, or a part of one in code
    | [ _]?[A-Z]{{1,4}}                              # capitals come in shorter pieces
    | '(?:[dmst]|ll|re|ve)(?![a-z])                  # contractions
    | [{_FIRSTS}][{_SECONDS}] | {_CJK}
    | [0-9]{{1,3}}
    | [ ]?[!-/:-@\[-`{{-~]{{1,3}}(?:\r?\n){{0,2}}    # punctuation takes a line end along
    | (?:\r\n|[\r\n]){{1,8}}
    | [ \t]{{1,16}}(?=[ \t\r\n]|\Z)                  # indentation, but for the space that goes to the next word
    | [\u1100-\u115f]{{1,2}}[\u1160-\u11a7]{{0,2}}[\u11a8-\u11ff]{{0,2}}  # a syllable of Korean letters
    | [ ]?[^\W\d_]{{1,3}}                            # other alphabets
    | [\U0001f1e6-\U0001f1ff]{{2}}                   # a flag
    | {_PICTURE}{_TAIL}(?:(?<=\u200d){_PICTURE}{_TAIL}){{0,8}}
    | .
    ){_TAIL}""",
    re.DOTALL | re.VERBOSE,
)


_CUT = "\0"
_SHORT = 64
"""Characters of the longest word whose tokens are worth remembering."""
_MESSAGE = 4096
"""Characters of the longest text whose number of tokens is."""


@lru_cache(4096)
def _word(text: str) -> tuple[str, ...]:
    return tuple(_PIECE.findall(text))


def _words(text: str) -> Iterator[Sequence[str]]:
    """The tokens of each word: but in runs of blanks, none reaches across the place before a space."""
    if "  " in text or "\t" in text or _CUT in text:
        return iter((_PIECE.findall(text),))
    words = text.replace(" ", f"{_CUT} ").split(_CUT)
    return map(_word if max(map(len, words)) <= _SHORT else _PIECE.findall, words)


def split(text: str) -> list[str]:
    """The tokens of a text; joined, they are the text again.

    A piece ends inside a character as people see it only where more than 32 marks stand on one letter. Time grows
    with the length alone.
    """
    return [*chain.from_iterable(_words(text))]


def tokenize(text: str) -> TokenText:
    """Split a text into tokens and escape each for JSON."""
    return TokenText(tuple([orjson.dumps(piece)[1:-1] for piece in split(text)]))


def count(text: str) -> int:
    """How many tokens a text has."""
    return _counted(text) if len(text) <= _MESSAGE else sum(map(len, _words(text)))


@lru_cache(1024)
def _counted(text: str) -> int:
    return sum(map(len, _words(text)))
