"""A server that speaks MongoDB's protocol, for the tests that need one; README.md says which."""
