"""Prompt and controls -> plan: the score, then its notes, then its codes, each written step by step by the planner."""
