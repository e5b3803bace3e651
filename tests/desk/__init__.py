"""What people do, in processes of their own: a terminal, a log on a full disk, a pipe nobody reads."""
