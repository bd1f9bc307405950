from dataclasses import dataclass


@dataclass(frozen=True)
class Default:
    sampling_options: str = ""
    granularity: str = "warp"
    buffer_type: str = "shared"
