"""seqkit: recurrent encoder-decoders with attention, for text, pictures, video and sound."""

__version__ = "0.1.0"
