"""How long steps take: told while one works, and foreseen by a plan."""
