"""The compiler: tensor expressions, schedules, loop nests and machine code. It knows nothing of tuning."""
