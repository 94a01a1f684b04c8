"""Request and answer of ``POST /predict/battle``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_MOVES = 50

Name = Annotated[str, Field(min_length=1, max_length=64)]
Moves = Annotated[
    list[Name] | None,
    Field(
        min_length=1,
        max_length=MOST_MOVES,
        description="Attacks to choose from, by engine id or English name, each once and each one the Pokémon "
        "can learn; 1 to 50. Left out or null: every damaging attack it can learn.",
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]


class BattleRequest(BaseModel):
    """Two Pokémon at level 50 about to duel, each using one attack throughout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pokemon_a: Name = Field(description="Our Pokémon: engine id, English or French name.", examples=["pikachu"])
    pokemon_b: Name = Field(description="The other side's Pokémon, named the same way.", examples=["blastoise"])
    available_moves_a: Moves = Field(default=None, examples=[["thunderbolt", "quickattack"]])
    available_moves_b: Moves = Field(default=None, examples=[["surf", "icebeam"]])


class RankedMove(BaseModel):
    """One attack of A against everything B may answer with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    move: str = Field(description="Engine id of the attack.", examples=["thunderbolt"])
    win_probability: Probability = Field(
        description="Probability in [0, 1] that A wins with this attack against B's best reply; a draw counts half."
    )
    mean_win_probability: Probability = Field(description="The mean of that over all attacks B has, in [0, 1].")
    best_reply: str = Field(description="Engine id of B's attack that is worst for A.", examples=["surf"])
    power: int = Field(ge=0, description="Base power in the game's points; 0 where the damage follows a rule.")
    stab: bool = Field(description="Whether the attack shares a type with A, which raises its damage by half.")
    type_multiplier: float = Field(
        ge=0,
        description="Factor by the types of B: 0, 0.25, 0.5, 1, 2 or 4. Of it a fixed damage heeds the 0 only.",
        examples=[2.0],
    )
    priority: int = Field(ge=-7, le=5, description="Turn order bracket; the higher one acts first, whatever the speed.")


class ModelVersion(BaseModel):
    """Which model answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the registered model.", examples=["battle"])
    version: str = Field(description="Its version in the registry.", examples=["7"])


class BattleAnswer(BaseModel):
    """The attack to use, and how all the others compare."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recommended_move: str = Field(description="Engine id of the attack to use.", examples=["thunderbolt"])
    win_probability: Probability = Field(
        description="Probability in [0, 1] that A wins with it against B's best reply."
    )
    all_moves: list[RankedMove] = Field(description="Every attack of A that was scored, the best first.")
    model: ModelVersion
    prediction_id: str = Field(
        description="Names this answer.", examples=["FK0-ATcAQbBpKhOZz5b0AXUAFwDEMTHPpCQc5lK4Hj9tnNJEgqwpUGRu3Xk7"]
    )
