DROP TABLE budget_spent;
