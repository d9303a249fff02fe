"""Which of the logged requests are worth a label?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.curation.cover import Cover
from pipelines.curation.disagreement import Disagreement
from pipelines.curation.entropy import Entropy
from pipelines.curation.feedback import Feedback
from pipelines.curation.impact import Impact
from pipelines.curation.least_confidence import LeastConfidence
from pipelines.curation.like_these import LikeThese
from pipelines.curation.margin import Margin
from pipelines.curation.mix import Mix, Part
from pipelines.curation.novelty import Novelty
from pipelines.curation.predicted_loss import PredictedLoss
from pipelines.curation.random import Random
from pipelines.curation.representative import Representative
from pipelines.curation.stratified import Stratified

SinglePolicy = Annotated[
    Random
    | Stratified
    | LeastConfidence
    | Margin
    | Entropy
    | Disagreement
    | PredictedLoss
    | Novelty
    | Representative
    | Cover
    | Impact
    | Feedback
    | LikeThese,
    Field(discriminator="policy"),
]

Part.model_rebuild(_types_namespace={"SinglePolicy": SinglePolicy})
Mix.model_rebuild(_types_namespace={"Part": Part})

CurationPolicy = Annotated[
    Random
    | Stratified
    | LeastConfidence
    | Margin
    | Entropy
    | Disagreement
    | PredictedLoss
    | Novelty
    | Representative
    | Cover
    | Impact
    | Feedback
    | LikeThese
    | Mix,
    Field(discriminator="policy"),
]
