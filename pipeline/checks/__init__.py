"""The run tests its own methods: against other ways to the same number, and on what is planted."""
