"""A model that holds secrets or bytes is refused with their place, wherever they hide."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import (
    Base64Bytes,
    BaseModel,
    Field,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
)

from pulse_temporal import ActionResult, JsonValueError, TriggerInput
from pulse_temporal.model.canonical import canonical_json


class Login(BaseModel):
    token: SecretStr = SecretStr("s3cret")


class Aliased(BaseModel):
    raw: bytes = Field(default=b"s3cret", alias="rawBytes")


class Nested(BaseModel):
    logins: list[Login] = [Login()]


class ByNumber(BaseModel):
    held: dict[int, SecretBytes] = {7: SecretBytes(b"s3cret")}


class Loose(BaseModel):
    anything: object = None


class Unwritable(BaseModel):
    raw: bytes = b"\xff"


class Several(RootModel[list[Login]]): ...


class Number(BaseModel):
    pin: Secret[int] = Secret[int](1234)


@dataclasses.dataclass
class Plain:
    token: SecretStr


class Holder(BaseModel):
    plain: Plain = Plain(SecretStr("s3cret"))


class Computed(BaseModel):
    @computed_field
    @property
    def token(self) -> SecretStr:
        return SecretStr("s3cret")


class Revealed(BaseModel):
    token: SecretStr = SecretStr("shown")

    @field_serializer("token", when_used="json")
    def reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()


class Encoded(BaseModel):
    raw: Base64Bytes


class LeftOut(BaseModel):
    token: SecretStr = Field(default=SecretStr("s3cret"), exclude=True)
    name: str = "ada"


MASKED: dict[str, tuple[BaseModel, str]] = {
    "secret": (Login(), "/token"),
    "empty secret": (Login(token=SecretStr("")), "/token"),
    "bytes under an alias": (Aliased(), "/rawBytes"),
    "in a list": (Nested(), "/logins/0/token"),
    "under a number": (ByNumber(), "/held/7"),
    "in anything": (Loose(anything={"a": [Login()]}), "/anything/a/0/token"),
    "bytearray": (Loose(anything=bytearray(b"x")), "/anything"),
    "bytes that are no text": (Unwritable(), "/raw"),
    "root": (Several([Login()]), "/0/token"),
    "number": (Number(), "/pin"),
    "in a dataclass": (Holder(), "/plain/token"),
    "computed": (Computed(), "/token"),
}
SHOWN: dict[str, tuple[BaseModel, object]] = {
    "revealed": (Revealed(), '{"token":"shown"}'),
    "base64": (Encoded.model_validate({"raw": b"aGVsbG8="}), '{"raw":"aGVsbG8="}'),
    "left out": (LeftOut(), '{"name":"ada"}'),
    "nothing secret": (Loose(anything={1: "a"}), '{"anything":{"1":"a"}}'),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_json_would_mask_is_refused_with_its_place(name: str) -> None:
    model, pointer = MASKED[name]

    with pytest.raises(JsonValueError, match="is not JSON") as caught:
        canonical_json({"v": [model]}, where="result", max_bytes=1_000)

    assert caught.value.pointer == f"/v/0{pointer}"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", SHOWN)
def test_what_its_author_writes_in_another_form_is_taken(name: str) -> None:
    model, text = SHOWN[name]

    assert canonical_json(model, where="result", max_bytes=1_000) == text


def test_a_payload_may_be_a_model() -> None:
    signal = {"tenantId": "acme", "source": "shop", "type": "paid"}

    assert TriggerInput.model_validate(signal | {"payload": LeftOut()}).payload == {"name": "ada"}
    with pytest.raises(JsonValueError, match="payload/logins/0/token"):
        TriggerInput.model_validate(signal | {"payload": Nested()})


def test_the_data_of_a_result_may_be_a_model() -> None:
    model = LeftOut()

    assert ActionResult(data=model).data is model
    assert ActionResult(data=model).model_dump()["data"] == {"name": "ada"}
