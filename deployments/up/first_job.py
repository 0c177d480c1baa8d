"""Count one word, so that a Spark server that has just started is warm when the first picture comes."""

from inktally import plugins
from inktally.document import Token
from inktally.settings import read_settings

if __name__ == "__main__":
    counter = plugins.counter(read_settings())
    counter.count({"": [Token(text="word", confidence=100, words=(0,))]})
