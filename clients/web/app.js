/** The page: views of one state. Each maker connects its part once and gives what brings it up to date. */
import { makeAdjustments } from "./adjust.js";
import { listenForFiles } from "./files.js";
import { makeLabels } from "./labels.js";
import { makePicture } from "./picture.js";
import { makeProblems } from "./problems.js";
import { makeRecipes } from "./recipes.js";
import { makeRun } from "./run.js";
import { connect, makeService } from "./service.js";
import { subscribe } from "./state.js";
import { makeStrip } from "./strip.js";
import { makeTable } from "./table.js";
import { makeTake } from "./take.js";

const makers = [
  makeService,
  makeProblems,
  makeStrip,
  makePicture,
  makeLabels,
  makeRecipes,
  makeRun,
  makeAdjustments,
  makeTable,
  makeTake,
];
for (const makeView of makers) subscribe(makeView());
listenForFiles();
connect();
