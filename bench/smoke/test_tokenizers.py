"""A tokenizer is trained on a few lines, tells words from one another, and comes back from its JSON."""

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

tokenizer = Tokenizer(models.BPE(unk_token="[?]"))
tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
lines = ["aspirate from well A1", "dispense into well B2", "aspirate and dispense"] * 10
tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=200, special_tokens=["[?]"]))
encoded = tokenizer.encode("Aspirate from WELL")
assert encoded.tokens == ["aspirate", "from", "well"], encoded.tokens
assert encoded.offsets == [(0, 8), (9, 13), (14, 18)]
again = Tokenizer.from_str(tokenizer.to_str())
assert again.encode("dispense").ids == tokenizer.encode("dispense").ids
