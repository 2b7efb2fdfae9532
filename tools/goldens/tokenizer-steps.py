"""Ids and texts of the reference library for steps of tokenizer.json, over random texts.

python tools/goldens/tokenizer-steps.py > tests/golden/files/tokenizer-steps.json      (needs tokenizers 0.23)
"""
import json
import random

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, processors, trainers
from tokenizers import decoders as D
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

random.seed(3)
CORPUS = [
    "the quick brown fox jumps over the lazy dog and I'll pay $12.50 for it, don't you? na\u00efve caf\u00e9 \u65e5\u672c\u8a9e ",
    "Hello World! \u0395\u039b\u039b\u0397\u039d\u0399\u039a\u0391 \u03a3\u03af\u03c3 \u03c2 123 456 def f(x):\n    return x**2\t# comment\r\n",
] * 20
TRICKY = (
    list(" \t\n\r\u0085\u00a0\u2028\u200b\u200d\u3000\ufeff\x00\x1c")
    + list("aAbBeE019.,!?-_'\"$+<=>^`|~#")
    + list("\u00e9\u00ef\u00f1\u00df\u03a3\u03c3\u03c2\u0130\ufb01\u65e5\u672c\U0001f44d\U0001f3fd\u0640\u0967\u00bd\u00b2\u2167")
    + ["e\u0301", "the", " the", "don't", " fox", "FOX", "<s>", "<unk>", "<|im_end|>", "<|IM_END|>", "\u212b", "\u2581", "<0x41>", "##a", "  ", "123"]
)
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<|im_end|>"]
ALPHABET = P.ByteLevel.alphabet()
made = {}


def emit(name, tokenizer, count=60):
    text = tokenizer.to_str()
    tokenizer = Tokenizer.from_str(text)
    cases = []
    for _ in range(count):
        string = "".join(random.choice(TRICKY) for _ in range(random.randint(0, 10)))
        ids = tokenizer.encode(string, add_special_tokens=False).ids
        drawn = [random.randrange(tokenizer.get_vocab_size()) for _ in range(random.randint(0, 6))]
        decode = lambda some: tokenizer.decode(some, skip_special_tokens=False)
        cases.append([string, ids, tokenizer.encode(string).ids, decode(ids), drawn, decode(drawn)])
    made[name] = {"tokenizer_json": json.loads(text), "cases": cases}


def trained(model, trainer, pre, norm=None, dec=None, post=None, added=()):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre
    if norm:
        tokenizer.normalizer = norm
    if dec:
        tokenizer.decoder = dec
    tokenizer.train_from_iterator(CORPUS, trainer)
    if post:
        tokenizer.post_processor = post
    tokenizer.add_tokens(list(added))
    return tokenizer


def bpe(pre, size=150, byte_level=False, model=None, **rest):
    more = {"initial_alphabet": ALPHABET} if byte_level else {}
    size = 290 if byte_level else size
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False, **more)
    model = model or (models.BPE() if byte_level else models.BPE(unk_token="<unk>", fuse_unk=True))
    return trained(model, trainer, pre, **rest)


def with_bytes(tokenizer):
    made_json = json.loads(tokenizer.to_str())
    vocab = made_json["model"]["vocab"]
    names = [f"<0x{i:02X}>" for i in range(256)]
    if isinstance(vocab, list):
        vocab.extend([name, -20.0] for name in names)
    else:
        first = max(vocab.values()) + 1
        vocab.update({name: first + i for i, name in enumerate(names)})
    made_json["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(made_json))


words = trainers.WordLevelTrainer(vocab_size=80, special_tokens=SPECIAL, show_progress=False)
emit("Whitespace", trained(models.WordLevel(unk_token="<unk>"), words, P.Whitespace()))
emit("WhitespaceSplit", trained(models.WordLevel(unk_token="<unk>"), words, P.WhitespaceSplit()))
emit("Punctuation", bpe(P.Punctuation()))
emit("Punctuation, contiguous", bpe(P.Sequence([P.WhitespaceSplit(), P.Punctuation("contiguous")])))
emit("BertPreTokenizer", bpe(P.BertPreTokenizer()))
emit("CharDelimiterSplit", bpe(P.CharDelimiterSplit("e")))
emit("FixedLength", bpe(P.FixedLength(3)))
emit("Split by text, removed", bpe(P.Split("e", "removed")))
emit("Split, inverted", bpe(P.Split(Regex("[a-z]+"), "isolated", invert=True)))
byte_level = P.ByteLevel(add_prefix_space=False)
emit("ByteLevel with a prefix", bpe(P.ByteLevel(add_prefix_space=True), byte_level=True, dec=D.ByteLevel()))
normal = [AddedToken("the", normalized=True), AddedToken("\u212bb", normalized=True), AddedToken("FOX", normalized=True)]
spaced = [AddedToken("123", lstrip=True, rstrip=True, normalized=False)]
for name, step, added in [
    ("Lowercase", N.Lowercase(), normal),
    ("NFC", N.NFC(), normal),
    ("Strip", N.Strip(), spaced),
    ("Replace", N.Replace("e", "$&"), normal),
    ("BertNormalizer", N.BertNormalizer(), spaced),
]:
    emit(name, bpe(byte_level, byte_level=True, norm=step, dec=D.ByteLevel(), added=added))
post = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
for scheme, split in [("never", True), ("first", True), ("always", False)]:
    mark = dict(replacement="\u2581", prepend_scheme=scheme, split=split)
    decoder = D.Sequence([D.Metaspace(**mark), D.ByteFallback(), D.Fuse()])
    emit(f"Metaspace {scheme}", with_bytes(bpe(P.Metaspace(**mark), dec=decoder, post=post)))
    unigram = trainers.UnigramTrainer(vocab_size=110, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer = trained(models.Unigram(), unigram, P.Metaspace(**mark), dec=decoder, post=post)
    emit(f"Unigram {scheme}", tokenizer)
    emit(f"Unigram {scheme}, bytes", with_bytes(tokenizer))
pieces = trainers.WordPieceTrainer(vocab_size=150, special_tokens=SPECIAL, show_progress=False)
emit("WordPiece", trained(models.WordPiece(unk_token="<unk>"), pieces, P.BertPreTokenizer(), norm=N.BertNormalizer(), dec=D.WordPiece()))
print(json.dumps({"made_by": "tools/goldens/tokenizer-steps.py", "tokenizers_version": tokenizers.__version__, "tokenizers": made}, separators=(",", ":")))
