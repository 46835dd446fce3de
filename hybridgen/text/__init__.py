"""The prompt: its text states for planner and renderer (`encoder`), and what its words fix (`controls`)."""
