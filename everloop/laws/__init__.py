"""Laws that every policy of a stage keeps: ours, and those of other packages.

    pytest --pyargs everloop.laws                                  all policies of ours
    pytest --pyargs everloop.laws --policy mypackage.module:Class  one of yours; its stage is found

A setting without a default needs an example that the laws can try it with:
`days: int = Field(ge=1, description="...", examples=[3])`. Several examples make several policies.
"""
