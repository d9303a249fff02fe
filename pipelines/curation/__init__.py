"""Which of the logged requests are worth a label?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.curation.disagreement import Disagreement
from pipelines.curation.entropy import Entropy
from pipelines.curation.feedback import Feedback
from pipelines.curation.impact import Impact
from pipelines.curation.least_confidence import LeastConfidence
from pipelines.curation.like_these import LikeThese
from pipelines.curation.margin import Margin
from pipelines.curation.novelty import Novelty
from pipelines.curation.predicted_loss import PredictedLoss
from pipelines.curation.random import Random
from pipelines.curation.representative import Representative
from pipelines.curation.stratified import Stratified

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
    | Impact
    | Feedback
    | LikeThese,
    Field(discriminator="policy"),
]
