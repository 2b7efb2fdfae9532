/** Where CoOp (github.com/KaiyangZhou/CoOp, DATASETS.md) has the eleven datasets, and what CLS-RL (arXiv:2503.16188) asks of each. */
import { OBJECT_QUESTION } from "./classification-options.ts";

export interface CoopLayout {
  /** Folder of the dataset below the folder of all. */
  folder: string;
  /** Folder of its pictures below that; "" is itself. */
  pictures: string;
  /** Lists of train, val and test in the folder; null: the dataset has a layout of its own. */
  split: string | null;
  question: string;
}

export type CoopDataset =
  | "imagenet"
  | "caltech101"
  | "oxford_pets"
  | "stanford_cars"
  | "oxford_flowers"
  | "food101"
  | "fgvc_aircraft"
  | "sun397"
  | "dtd"
  | "eurosat"
  | "ucf101";

const of = (
  folder: string,
  pictures: string,
  name: string | null,
  question = OBJECT_QUESTION,
): CoopLayout => ({
  folder,
  pictures,
  split: name === null ? null : `split_zhou_${name}.json`,
  question,
});

export const COOP_DATASETS: Readonly<Record<CoopDataset, CoopLayout>> = {
  imagenet: of("imagenet", "images", null),
  caltech101: of("caltech-101", "101_ObjectCategories", "Caltech101"),
  oxford_pets: of("oxford_pets", "images", "OxfordPets"),
  // paths of its split file begin with cars_train or cars_test
  stanford_cars: of("stanford_cars", "", "StanfordCars"),
  oxford_flowers: of("oxford_flowers", "jpg", "OxfordFlowers"),
  food101: of("food-101", "images", "Food101"),
  fgvc_aircraft: of("fgvc_aircraft", "images", null, "What type of aircraft is in the photo?"),
  sun397: of("sun397", "SUN397", "SUN397"),
  dtd: of("dtd", "images", "DescribableTextures", "What type of texture is in the photo?"),
  eurosat: of("eurosat", "2750", "EuroSAT", "What type of object is in the centered satellite photo?"),
  ucf101: of("ucf101", "UCF-101-midframes", "UCF101", "What actions is the person performing in the photo?"),
};
