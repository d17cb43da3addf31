"""What the steps share: recipe, workspace, outputs, label store, readers, tracking, resource table."""
