"""Training in plain torch: SFT on a teacher's demonstrations, GRPO on rollouts, evaluation, checkpoints."""
