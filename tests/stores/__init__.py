"""The services of `infra.memory`, held against others that stand for AWS.

    contract       the laws that hold there, on moto and on DynamoDB Local alike
    local          DynamoDB Local: fetched and run

`python -m tests.stores` runs the contract against every store that is there, and prints what holds where.
"""
