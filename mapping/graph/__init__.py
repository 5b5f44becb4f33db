"""The front end of other networks: graphs of typed nodes, read from torch's exported programs and from NIR."""
