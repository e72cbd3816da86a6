"""What recipes import as `zc.recipe.egg`."""
