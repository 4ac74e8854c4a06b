"""All readers of files that are tested with damaged ones."""

from tests.damage import corpora, media, runs, texts

READERS = [*texts.READERS, *corpora.READERS, *media.READERS, *runs.READERS]
