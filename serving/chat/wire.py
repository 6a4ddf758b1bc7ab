"""Chat completions as OpenAI's clients write and read them.

Members that would change what is answered are refused where we don't have them (`refuse`); those that can do no harm,
such as `temperature`, are read over.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import InvalidInput

MOST_MESSAGES = 200
MOST_CHARACTERS = 200_000
"""Of all texts of a request."""
LONGEST = 20_000
"""Characters of one message of the user."""
_ID = r"^[\x21-\x7e]{1,200}$"


class Part(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=40)
    text: str = ""


class Message(BaseModel):
    """`developer` and `system` messages are the client's own; they give no orders to an agent of this house."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    def text(self, number: int) -> str:
        """Raises `InvalidInput` for a part that is no text."""
        if not isinstance(self.content, list):
            return self.content or ""
        for part in self.content:
            if part.type not in ("text", "input_text", "refusal"):
                raise InvalidInput(
                    f"A part of the type '{part.type}' is not read here.",
                    field=f"messages.{number}.content",
                    hint="Send text. Photos are sent with a case: POST /api/v1/attachments.",
                )
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What `POST /v1/chat/completions` takes. `user`, or `metadata.customer_id`, is the customer it is sent for."""

    model: str = Field(min_length=1, max_length=100)
    messages: list[Message] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(default=None, pattern=_ID)
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    n: int | None = Field(default=None, ge=1)
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None

    def refuse(self) -> None:
        """Raises `InvalidInput` that names the first member which asks for what is not done here."""
        asked = {
            "n": (self.n or 1) > 1,
            "tools": bool(self.tools),
            "functions": bool(self.functions),
            "tool_choice": self.tool_choice not in (None, "none", "auto"),
            "function_call": self.function_call not in (None, "none", "auto"),
            "response_format": (self.response_format or {"type": "text"}).get("type") != "text",
            "logprobs": bool(self.logprobs),
            "modalities": self.modalities not in (None, ["text"]),
            "audio": bool(self.audio),
        }
        for name, is_asked in asked.items():
            if is_asked:
                raise InvalidInput(f"'{name}' is not supported here.", field=name, hint="Leave it out.")
        for number, message in enumerate(self.messages):
            if message.role in ("tool", "function"):
                raise InvalidInput(
                    "Messages of tools are not read here.", field=f"messages.{number}.role", hint="Leave them out."
                )
            if message.role == "user" and len(message.text(number)) > LONGEST:
                raise InvalidInput(
                    f"A message has more than {LONGEST:,} characters.",
                    field=f"messages.{number}.content",
                    hint="Write less.",
                )
        if sum(len(message.text(number)) for number, message in enumerate(self.messages)) > MOST_CHARACTERS:
            raise InvalidInput(
                f"The messages have more than {MOST_CHARACTERS:,} characters.", field="messages", hint="Send fewer."
            )

    def customer(self, *, needed: bool = True) -> str:
        """Whom the caller vouches for. Raises `InvalidInput` where that is two, or nobody although it is `needed`."""
        named = {each for each in (self.user, (self.metadata or {}).get("customer_id")) if each}
        if len(named) > 1 or (needed and not named):
            why = "'user' and metadata.customer_id name two customers." if named else "No customer is named."
            raise InvalidInput(why, field="user", hint="Send the customer's id in 'user', from your own session.")
        return named.pop() if named else ""


class Usage(BaseModel):
    """Tokens of the models that worked on the case while this was answered; a rule of thumb's answer uses none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    @classmethod
    def of(cls, read: int, written: int) -> Usage:
        return cls(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


class Answer(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: Answer
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class Model(BaseModel):
    """An agent that one can talk to."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "countersign"


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Wrong(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAiError(BaseModel):
    """What is wrong, as OpenAI's clients read it."""

    error: Wrong
