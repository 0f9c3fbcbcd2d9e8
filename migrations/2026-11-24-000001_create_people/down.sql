DROP TABLE team_members;
DROP TABLE people;
