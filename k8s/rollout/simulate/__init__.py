"""How often the verdict over a canary is wrong and how soon it is right, by simulation, beside three rivals."""
