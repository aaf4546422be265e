"""Text becomes tokens by the given ranks, and comes back."""

import tiktoken

ranks = {bytes([n]): n for n in range(256)} | {
    b"ro": 256,
    b"bo": 257,
    b"robo": 258,
    b"robot": 259,
    b" a": 260,
}
encoding = tiktoken.Encoding(
    "lab", pat_str=r"\w+| \w+|\s+|[^\w\s]+", mergeable_ranks=ranks, special_tokens={"<stop>": 300}
)
assert encoding.encode("robot a!") == [259, 260, ord("!")]
assert encoding.encode("robo<stop>", allowed_special="all") == [258, 300]
text = "Prüfröhrchen, robot after robot 🤖"
assert encoding.decode(encoding.encode(text)) == text
