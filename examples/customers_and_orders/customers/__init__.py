"""The customer service: who may owe how much, and who owes it."""
