"""What is offered to whom: recipes, as data and as they are written."""
