"""What the calls of the Open Inference Protocol take and give."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.messages import COUNTED, First, shown
from serving.messages.own import Asker

MODEL = "everloop"
OutputName = Literal["label", "score", "prediction_id", "model_version", "variant"]
OUTPUTS: dict[OutputName, str] = {
    "label": "BYTES",
    "score": "FP32",
    "prediction_id": "BYTES",
    "model_version": "BYTES",
    "variant": "BYTES",
}


class Parameters(Asker):
    """Who asks, and for how long. What other servers know beside it is ignored."""

    model_config = ConfigDict(extra="ignore")

    timeout: int = Field(0, ge=0, description="microseconds; 0 is as long as the server allows")
    binary_data_output: bool = Field(False, description="all outputs as binary data")


class Size(BaseModel):
    """Where the data of an input is: after the JSON, so many bytes."""

    binary_data_size: int | None = Field(None, ge=0)
    shared_memory_region: None = Field(None, description="not supported")


class Input(BaseModel):
    """The texts, as a tensor."""

    name: str
    shape: First[int] = Field(max_length=8, description="[n] or [n, 1]; the outputs have the same")
    datatype: Literal["BYTES"]
    parameters: Size | None = None
    data: Annotated[First[str] | First[First[str]] | None, COUNTED] = Field(
        None, description="left out for binary data"
    )


class Form(BaseModel):
    """How an output is wanted."""

    binary_data: bool | None = None
    shared_memory_region: None = Field(None, description="not supported")
    classification: None = Field(None, description="not supported")


class Wanted(BaseModel):
    """One output that is asked for."""

    name: OutputName
    parameters: Form | None = None


class InferRequest(BaseModel):
    """Texts to classify: one input, whatever its name. `id` comes back as it is."""

    model_config = shown(
        {
            "id": "1",
            "parameters": {"user": "u1", "timeout": 500_000},
            "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["my card?"]}],
            "outputs": [{"name": "label"}, {"name": "score"}],
        }
    )

    id: str | None = None
    parameters: Parameters | None = None
    inputs: First[Input] = Field(min_length=1, max_length=1)
    outputs: First[Wanted] | None = Field(None, max_length=100, description="all, where left out")


class Output(BaseModel):
    """One output of every text."""

    name: OutputName
    datatype: Literal["BYTES", "FP32"]
    shape: list[int]
    data: list[str] | list[float] | None = None
    parameters: Size | None = None


class InferAnswer(BaseModel):
    """The outputs asked for. `model_version` is left out where two versions answered, in a rollout."""

    model_config = shown(
        {
            "model_name": MODEL,
            "model_version": "3",
            "id": "1",
            "outputs": [
                {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["card_arrival"]},
                {"name": "score", "datatype": "FP32", "shape": [1], "data": [0.91]},
            ],
        }
    )

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[Output]


class Signature(BaseModel):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the model takes and gives, and the versions that serve now, the champion first."""

    model_config = shown(
        {
            "name": MODEL,
            "versions": ["3"],
            "platform": "everloop",
            "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
        }
    )

    name: str = MODEL
    versions: list[str]
    platform: str = "everloop"
    inputs: list[Signature] = [Signature(name="text", datatype="BYTES", shape=[-1])]
    outputs: list[Signature] = [
        Signature(name=name, datatype=kind, shape=[-1]) for name, kind in OUTPUTS.items()
    ]


class ServerMetadata(BaseModel):
    """The server, and what it can beyond the protocol itself."""

    model_config = shown({"name": MODEL, "version": "0.1.0", "extensions": ["binary_tensor_data"]})

    name: str = MODEL
    version: str
    extensions: list[str] = ["binary_tensor_data"]


class LiveNow(BaseModel):
    """The process answers."""

    model_config = shown({"live": True})

    live: bool


class ReadyNow(BaseModel):
    """The model answers."""

    model_config = shown({"name": MODEL, "ready": True})

    name: str = MODEL
    ready: bool = True


class InferFault(BaseModel):
    """A fault as this protocol tells it."""

    model_config = shown({"error": "no such model; got 'x'"})

    error: str
