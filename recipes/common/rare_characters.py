"""What training says of characters that are too rare for a vocabulary of subwords."""

from seqkit.data.vocab import SubwordVocab
from seqkit.train.distributed import print0

SHOWN = 20


def warn_rare(vocab: SubwordVocab, size: int) -> None:
    """Prints how many characters of the training texts have no subword, and the most frequent of them."""
    if vocab.lacking:
        shown = " ".join(vocab.lacking[:SHOWN]) + " …" * (len(vocab.lacking) > SHOWN)
        print0(
            f"{len(vocab.lacking):,} characters are too rare for {size:,} subwords and unknown: {shown}; "
            "a larger `vocab_size` keeps them"
        )
