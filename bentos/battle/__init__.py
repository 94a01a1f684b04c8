"""The duel adapter: the dex, the features that training and serving share, and the answer to "which attack wins"."""
