"""Sentences that samples speak when nothing else is asked for; none is in any training text."""

SENTENCES = (
    "the river was quiet in the morning",
    "she put the letter on the table",
    "a small dog ran across the field",
    "we can see the lights of the town",
    "he never told me about the garden",
    "two boats came slowly to the shore",
    "the teacher opened a large window",
    "my brother plays music every night",
    "they walked together down the road",
    "an old clock stood near the door",
    "the children laughed at the clown",
    "please bring me a glass of water",
    "the train will leave in an hour",
    "it was raining when we arrived",
    "a tall man was waiting outside",
    "the bread is still warm and soft",
    "nobody knew the name of the horse",
    "her coat was hanging on the wall",
    "the soldiers crossed the bridge",
    "i think the answer is very simple",
)
