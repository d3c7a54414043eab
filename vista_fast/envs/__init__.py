"""Episodes, and Gymnasium environments over tasks and a toolbox."""
