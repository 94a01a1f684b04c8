"""How often alerts on drift and accuracy are wrong, and how soon they are right, by simulation."""
