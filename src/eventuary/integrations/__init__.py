"""What other libraries need to work with Eventuary; each module wants its library, and no other."""
