"""The texts of the pages: formatting, glossary and sentences."""
