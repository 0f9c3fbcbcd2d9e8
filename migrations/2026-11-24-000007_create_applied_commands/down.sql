DROP TABLE applied_commands;
