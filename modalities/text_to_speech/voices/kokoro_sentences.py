"""English sentences with their phonemes, as Kokoro reads them: it takes phonemes, and its front end is another package."""

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    "The boat came home before the storm.": "ðə bˈoʊt kˈeɪm hˈoʊm bᵻfˌɔːɹ ðə stˈɔːɹm.",
    "She keeps a small garden behind the old stone house.": "ʃiː kˈiːps ɐ smˈɔːl ɡˈɑːɹdən bᵻhˌaɪnd ðɪ ˈoʊld stˈoʊn hˈaʊs.",
    "Nobody in the village had seen such a bright morning.": "nˈoʊbɑːdi ɪnðə vˈɪlɪdʒ hæd sˈiːn sˈʌtʃ ɐ bɹˈaɪt mˈɔːɹnɪŋ.",
    "We waited an hour for the last train to the north.": "wiː wˈeɪɾᵻd ɐn ˈaʊɚ fɚðə lˈæst tɹˈeɪn tə ðə nˈɔːɹθ.",
    "My brother reads a long story to his children every evening.": "maɪ bɹˈʌðɚ ɹˈiːdz ɐ lˈɔŋ stˈɔːɹi tə hɪz tʃˈɪldɹən ˈɛvɹi ˈiːvnɪŋ.",
    "The price of bread went up again in the spring.": "ðə pɹˈaɪs ʌv bɹˈɛd wɛnt ˌʌp ɐɡˈɛn ɪnðə spɹˈɪŋ.",
    "A cold wind blew through the open window all night.": "ɐ kˈoʊld wˈɪnd blˈuː θɹuː ðɪ ˈoʊpən wˈɪndoʊ ˈɔːl nˈaɪt.",
    "He wrote the letter twice and then threw it away.": "hiː ɹˈoʊt ðə lˈɛɾɚ twˈaɪs ænd ðˈɛn θɹˈuː ɪɾ ɐwˈeɪ.",
    "They found a silver coin under the kitchen floor.": "ðeɪ fˈaʊnd ɐ sˈɪlvɚ kˈɔɪn ˌʌndɚ ðə kˈɪtʃən flˈɔːɹ.",
    "Please close the gate when you leave the field.": "plˈiːz klˈoʊs ðə ɡˈeɪt wɛn juː lˈiːv ðə fˈiːld.",
    "The doctor asked her to come back on Thursday.": "ðə dˈɑːktɚɹ ˈæskt hɜː tə kˈʌm bˈæk ˌɔn θˈɜːzdeɪ.",
    "Three white horses were standing beside the river.": "θɹˈiː wˈaɪt hˈɔːɹsᵻz wɜː stˈændɪŋ bᵻsˌaɪd ðə ɹˈɪvɚ.",
    "I would rather walk than wait for another bus.": "aɪ wʊd ɹˈæðɚ wˈɔːk ðɐn wˈeɪt fɔːɹ ɐnˈʌðɚ bˈʌs.",
    "The museum shows paintings from more than twenty countries.": "ðə mjuːzˈiəm ʃˈoʊz pˈeɪntɪŋz fɹʌm mˈɔːɹ ðɐn twˈɛnti kˈʌntɹiz.",
    "Fresh coffee and warm bread are ready on the table.": "fɹˈɛʃ kˈɔfi ænd wˈɔːɹm bɹˈɛd ɑːɹ ɹˈɛdi ɔnðə tˈeɪbəl.",
    "The captain told the crew to lower the sails.": "ðə kˈæptɪn tˈoʊld ðə kɹˈuː tə lˈoʊɚ ðə sˈeɪlz.",
    "It rained so hard that the road became a stream.": "ɪt ɹˈeɪnd sˌoʊ hˈɑːɹd ðætðə ɹˈoʊd bɪkˌeɪm ɐ stɹˈiːm.",
    "Our neighbours planted apple trees along the wall.": "ˌaʊɚ nˈeɪbɚz plˈæntᵻd ˈæpəl tɹˈiːz ɐlˈɔŋ ðə wˈɔːl.",
    "The judge listened quietly and then gave his answer.": "ðə dʒˈʌdʒ lˈɪsənd kwˈaɪətli ænd ðˈɛn ɡˈeɪv hɪz ˈænsɚ.",
    "Someone left a green umbrella in the waiting room.": "sˈʌmwʌn lˈɛft ɐ ɡɹˈiːn ʌmbɹˈɛlə ɪnðə wˈeɪɾɪŋ ɹˈuːm.",
}
"""Sentence -> phonemes of American English, by eSpeak NG."""
