"""Sources as nobody should bring them: odd names, odd values, and valid files whose bytes were changed."""
