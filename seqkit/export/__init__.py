"""Export of trained runs to ONNX: graphs with free batch and time, and a decoder in numpy beside them."""
