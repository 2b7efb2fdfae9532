/** Short English words, and things by what they are. */
export const WORDS = (
  "acorn amber angle apple arrow attic bacon badge baker beach bench berry birch blade board boots brook brush cabin " +
  "candy cargo cedar chalk chart chest cliff cloak cloud clove coral crane creek crown daisy delta dough drift eagle " +
  "earth ember fable feast fence ferry fiber flame flask flint flute forge frost gate glass globe glove grain grape " +
  "grove guard habit hatch hazel hedge honey hotel house inlet ivory jelly jewel kayak kettle knife ladder lamp lemon " +
  "linen lodge lunar maple marsh medal melon metal mint model motor mural nest noble north novel oak ocean olive onion " +
  "orbit otter paint panel paper pearl pedal piano pilot plaza plum pond porch quill quilt radio raft ranch raven reed " +
  "ridge river robin rope salt satin scale shell shore silk slate smoke snail spark spoon stone storm straw sugar table " +
  "tiger toast torch tower trail tulip tunic umbra urban vault velvet violet wagon water wheat willow wolf wool yarn zebra"
).split(" ");

export const THINGS = {
  animals: ["cat", "dog", "goat", "hen", "horse", "mouse", "owl", "rabbit", "snake", "frog"],
  fruits: ["apple", "banana", "cherry", "fig", "grape", "lemon", "mango", "peach", "pear", "plum"],
  tools: ["axe", "drill", "file", "hammer", "ladder", "rake", "saw", "shovel", "spade", "wrench"],
  instruments: ["cello", "drum", "flute", "guitar", "harp", "lute", "oboe", "piano", "trumpet", "violin"],
} as const;
