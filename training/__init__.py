"""From duels to a bundle: dataset, candidates, evaluation, registry, gate, packaging, and the command ``pdx``."""
