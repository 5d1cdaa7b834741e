"""OpenLineage, specification 2-0-2 (https://openlineage.io/spec/2-0-2/OpenLineage.json): in and out."""
