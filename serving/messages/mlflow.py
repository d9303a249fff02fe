"""What the calls of the MLflow scoring protocol take and give."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from serving.messages import COUNTED, First, Many, shown
from serving.messages.own import Asker

NAME = "everloop"  # of the one endpoint there is


class Split(BaseModel):
    """A pandas.DataFrame as `to_dict(orient="split")` gives it."""

    columns: First[str | int] | None = None
    data: Many[list[Any]]


class Invocation(BaseModel):
    """Rows in exactly one of four forms. Other fields are ignored, as MLflow's own server does."""

    model_config = shown(
        {"inputs": ["my card?", "where is it?"]},
        {"dataframe_split": {"columns": ["text"], "data": [["my card?"]]}},
        {"dataframe_records": [{"text": "my card?"}], "params": {"user": "u1"}},
        {"instances": ["my card?"]},
    )

    dataframe_split: Split | None = None
    dataframe_records: Many[dict[str, Any]] | None = None
    instances: Annotated[First[Any] | dict[str, Any] | None, COUNTED] = None
    inputs: Annotated[str | First[Any] | dict[str, Any] | None, COUNTED] = None
    params: Asker | None = Field(None, description="who asks; there are no other parameters")


class EndpointModel(BaseModel):
    name: str
    provider: str


class Endpoint(BaseModel):
    """What an MLflow deployment client wants to know of an endpoint."""

    model_config = shown(
        {
            "name": NAME,
            "endpoint_type": "text-classification",
            "model": {"name": NAME, "provider": NAME},
            "endpoint_url": f"/endpoints/{NAME}/invocations",
            "limit": None,
        }
    )

    name: str = NAME
    endpoint_type: str = "text-classification"
    model: EndpointModel = EndpointModel(name=NAME, provider=NAME)
    endpoint_url: str = f"/endpoints/{NAME}/invocations"
    limit: None = None


class Endpoints(BaseModel):
    """The one endpoint there is, as a list."""

    model_config = shown({"endpoints": [Endpoint().model_dump()]})

    endpoints: list[Endpoint]


class MlflowFault(BaseModel):
    """A fault as MLflow's server tells it."""

    model_config = shown({"error_code": "BAD_REQUEST", "message": "row 0 has no text"})

    error_code: str
    message: str
