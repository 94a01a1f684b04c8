"""How images are described, and a base for them where no registry can be reached."""
