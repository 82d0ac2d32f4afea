"""Any chat vision-language model of transformers as `Captioner`: Qwen-VL, SmolVLM, LLaVA, Gemma ..."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from tckr.models.captioners.greedy import decode_greedily_by_default, generate_tokens

QUESTION = "Describe this image in one short sentence. Answer with the description alone."


class ChatCaptioner:
    """Caption with a model that answers questions about an image; `prompt` is the question, empty for `QUESTION`."""

    def __init__(self, model: Any, processor: Any) -> None:
        """Pad on the left, so that padding does not come between a question and its answer."""
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        decode_greedily_by_default(model, tokenizer.pad_token_id)
        self.model = model
        self.processor = processor

    def caption(self, images: np.ndarray, max_new_tokens: int, prompt: str = "") -> list[str]:
        """Return one greedy caption per image of uint8 [B, H, W, 3]."""
        inputs = self.ask(images, prompt or QUESTION)
        tokens = generate_tokens(self.model, inputs, max_new_tokens)
        answers = tokens if self.model.config.is_encoder_decoder else tokens[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.batch_decode(answers, skip_special_tokens=True)]

    def ask(self, images: np.ndarray, question: str) -> Any:
        """Return the processor's `BatchFeature` of one conversation per image: the image, then `question`."""
        conversations = [
            [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": question}]}]
            for image in map(Image.fromarray, images)
        ]
        # reasoning models would spend the few tokens of a caption on their reasoning
        thinking = {"enable_thinking": False} if "enable_thinking" in str(self.processor.chat_template) else {}
        return self.processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
            **thinking,
        )
