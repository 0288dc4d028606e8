"""EfficientNet-Lite0, an ImageNet classifier, with the weights of a PyTorch file.

- ``classifier``: images of any size to logits, accuracy, and files of labels.
- ``efficientnet_lite``: the network as a pure function.
- ``torch_weights``: arrays from a PyTorch file, without PyTorch.
- ``torch_pickle``: a parser of the pickles in such a file.

Each module imports only from those below it in this list.
"""
